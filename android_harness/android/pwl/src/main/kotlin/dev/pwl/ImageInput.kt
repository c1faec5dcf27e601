package dev.pwl

/** Reads one row of an image. */
public fun interface PixelRows {
    /**
     * @param y the row, 0 at the top.
     * @param into receives its colors, 0xAARRGGBB each, not premultiplied: what Android's
     *   `Bitmap.getPixels` gives.
     */
    public fun read(y: Int, into: IntArray)
}

/**
 * Makes of images what a model reads, to the last bit as the pipeline did for its training.
 *
 * Resizing is Pillow's, in whole numbers: a horizontal pass and a vertical one, each rounded to 8
 * bits. Safe for use from several threads.
 */
public class ImageInput(public val preprocessing: Preprocessing) {
    private val channels = preprocessing.channels

    /** What each of 256 values becomes, channel by channel: in float32, as in PyTorch. */
    private val normalized =
        FloatArray(channels * VALUES) {
            val channel = it / VALUES
            val share = (it % VALUES) / 255f
            (share - preprocessing.mean[channel]) / preprocessing.deviation[channel]
        }

    private val ground = IntArray(channels).also { values ->
        preprocessing.background?.let { split(it, values) }
    }

    @Volatile private var passes: Passes? = null // those of the last image's size

    /** Floats of an input: height, width, channels. */
    public val size: Int = preprocessing.width * preprocessing.height * channels

    /**
     * Converts an image that is upright and in sRGB.
     *
     * @param pixels its colors row by row, 0xAARRGGBB each, not premultiplied.
     * @return [size] values, for [ProgressiveModel.run].
     * @throws IllegalArgumentException as the other one does.
     */
    public fun convert(pixels: IntArray, width: Int, height: Int): FloatArray {
        require(pixels.size.toLong() == width.toLong() * height) {
            "given ${pixels.size} pixels instead of $width x $height"
        }
        return convert(width, height) { y, into ->
            pixels.copyInto(
                into,
                0,
                y * width,
                (y + 1) * width
            )
        }
    }

    /**
     * Converts an image that is read row by row, each of them once, from the top.
     *
     * @return [size] values, for [ProgressiveModel.run].
     * @throws IllegalArgumentException for an empty image, one of more than 2 GB of values, one of another
     *   size than the model reads where its images are not resized, and one that is transparent where no background is known.
     */
    public fun convert(width: Int, height: Int, rows: PixelRows): FloatArray {
        val fits = width == preprocessing.width && height == preprocessing.height
        require(width > 0 && height > 0 && (fits || preprocessing.resizes)) {
            "an image of $width x $height pixels: this model was trained on images of " +
                "${preprocessing.width} x ${preprocessing.height} that were not resized"
        }
        val (wide, high) = preprocessing.sizeOf(width, height)
        val tall = verticalComesFirst(width.toLong() - wide, height.toLong() - high)
        val between = if (tall) width else preprocessing.width // of the rows after one pass
        val most = maxOf(between.toLong() * height, width.toLong())
        require(most * channels <= Int.MAX_VALUE) {
            "an image of $width x $height pixels is too large"
        }
        val passes = passesFor(width, height)
        val pixels =
            if (tall) {
                verticalFirst(passes, rows)
            } else {
                horizontalFirst(passes, rows)
            }
        return FloatArray(size) {
            normalized[it % channels * VALUES + (pixels[it].toInt() and 0xFF)]
        }
    }

    private fun horizontalFirst(passes: Passes, rows: PixelRows): ByteArray {
        val colors = IntArray(passes.width)
        val row = ByteArray(passes.width * channels)
        val narrow = ByteArray(preprocessing.width * passes.height * channels)
        for (y in 0 until passes.height) {
            rows.read(y, colors)
            opaque(colors, row, 0)
            passes.horizontal.row(row, narrow, y * preprocessing.width * channels, channels)
        }
        val pixels = ByteArray(size)
        passes.vertical.columns(narrow, pixels, preprocessing.width * channels)
        return pixels
    }

    private fun verticalFirst(passes: Passes, rows: PixelRows): ByteArray {
        val colors = IntArray(passes.width)
        val width = passes.width * channels
        val all = ByteArray(width * passes.height)
        for (y in 0 until passes.height) {
            rows.read(y, colors)
            opaque(colors, all, y * width)
        }
        val low = ByteArray(width * preprocessing.height)
        passes.vertical.columns(all, low, width)
        val pixels = ByteArray(size)
        for (y in 0 until preprocessing.height) {
            val row = low.copyOfRange(y * width, (y + 1) * width)
            passes.horizontal.row(row, pixels, y * preprocessing.width * channels, channels)
        }
        return pixels
    }

    private fun opaque(colors: IntArray, into: ByteArray, at: Int) {
        for (x in colors.indices) opaque(colors[x], into, at + x * channels)
    }

    /** One pixel as the model's channels, on the background where it is transparent. */
    private fun opaque(color: Int, into: ByteArray, at: Int) {
        val alpha = color ushr 24
        require(alpha == OPAQUE || preprocessing.background != null) {
            "a transparent image: the images of this model had no background"
        }
        if (channels == 1) {
            into[at] = over(luma(color), ground[0], alpha).toByte()
            return
        }
        into[at] = over(color shr 16 and 0xFF, ground[0], alpha).toByte()
        into[at + 1] = over(color shr 8 and 0xFF, ground[1], alpha).toByte()
        into[at + 2] = over(color and 0xFF, ground[2], alpha).toByte()
    }

    private fun split(color: Int, into: IntArray) {
        if (channels == 1) {
            into[0] = luma(color)
            return
        }
        for (channel in 0 until channels) into[channel] = color shr (16 - 8 * channel) and 0xFF
    }

    private fun passesFor(width: Int, height: Int): Passes {
        passes?.let { if (it.width == width && it.height == height) return it }
        val (wide, high) = preprocessing.sizeOf(width, height)
        val filter = preprocessing.filter
        val horizontal = ResizePass(width, wide, preprocessing.width, filter)
        val vertical = ResizePass(height, high, preprocessing.height, filter)
        return Passes(width, height, horizontal, vertical).also { passes = it }
    }

    private class Passes(
        val width: Int,
        val height: Int,
        val horizontal: ResizePass,
        val vertical: ResizePass
    )

    private companion object {
        const val VALUES = 256
        const val OPAQUE = 255

        /**
         * Whether the vertical pass comes first, as in Pillow since its version 13.
         *
         * @param width pixels that an image loses in width.
         * @param height those in height.
         */
        fun verticalComesFirst(width: Long, height: Long): Boolean =
            height > 0 && height > 2 * width

        /** ITU-R 601-2, in Pillow's whole numbers: the weights are of 65,536. */
        fun luma(color: Int): Int {
            val red = color shr 16 and 0xFF
            val green = color shr 8 and 0xFF
            return (red * 19595 + green * 38470 + (color and 0xFF) * 7471 + 0x8000) shr 16
        }

        /** A value that covers a share of another, both from 0 to 255; rounded as in Pillow. */
        fun over(value: Int, ground: Int, alpha: Int): Int {
            val sum = value * alpha + ground * (OPAQUE - alpha) + 128
            return ((sum shr 8) + sum) shr 8
        }
    }
}
