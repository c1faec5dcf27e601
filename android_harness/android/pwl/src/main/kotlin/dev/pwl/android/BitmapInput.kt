package dev.pwl.android

import android.graphics.Bitmap
import dev.pwl.ImageInput
import dev.pwl.Preprocessing

/**
 * Makes of bitmaps what a model reads: `model.run(BitmapInput(manifest.input).convert(bitmap))`.
 *
 * From the bitmap's pixels on, it does what the pipeline does, to the last bit ([ImageInput]). What
 * comes before is up to whoever decodes:
 * - **Which way is up.** `ImageDecoder` (Android 9) turns images as their EXIF data says,
 *   `BitmapFactory` does not.
 * - **Size.** Decode at full size, without `inSampleSize`, `inDensity` and `setTargetSize`: they
 *   leave pixels out, or average in another way than the training did.
 * - **Colors.** Both decoders bring images with an ICC profile to sRGB, by Skia where the pipeline
 *   takes LittleCMS: a value may differ by one or two of 255. JPEG is decoded by libjpeg-turbo on
 *   both sides; decoders in hardware may round otherwise.
 * - **Transparency.** Bitmaps hold premultiplied colors, and what is nearly transparent has lost its
 *   exact color; opaque pixels have lost nothing.
 *
 * Safe for use from several threads. Takes a few milliseconds for a photo: off the main thread.
 */
public class BitmapInput(preprocessing: Preprocessing) {
    private val input = ImageInput(preprocessing)

    /** Floats of an input. */
    public val size: Int
        get() = input.size

    /**
     * Converts a bitmap that is upright. It is read row by row.
     *
     * @return [size] values, for [dev.pwl.ProgressiveModel.run].
     * @throws IllegalArgumentException as [ImageInput.convert] does.
     * @throws IllegalStateException for a bitmap in the memory of the graphics processor: decode with
     *   `ImageDecoder.ALLOCATOR_SOFTWARE`, or copy it to `Bitmap.Config.ARGB_8888`.
     */
    public fun convert(bitmap: Bitmap): FloatArray {
        val width = bitmap.width
        return input.convert(width, bitmap.height) { y, into ->
            bitmap.getPixels(into, 0, width, 0, y, width, 1)
        }
    }
}
