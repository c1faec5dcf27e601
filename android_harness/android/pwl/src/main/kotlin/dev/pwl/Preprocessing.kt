package dev.pwl

/**
 * How an image becomes what a model reads, as its training did it. [ImageInput] does it.
 *
 * The steps, in this order: the image is turned upright and in sRGB (whoever decodes it does that);
 * color or gray; on the background, where it is transparent; resized; its middle cut out; divided by
 * 255, less the mean, over the deviation.
 *
 * @property width of an image that the model reads, in pixels.
 * @property height of it.
 * @property channels 3: red, green, blue; 1: gray.
 * @property resizes whether images of other sizes are resized, antialiased; otherwise they have to be
 *   of this size.
 * @property background what transparent images lie on, 0xRRGGBB; null: images must be opaque.
 */
public class Preprocessing
private constructor(
    public val width: Int,
    public val height: Int,
    public val channels: Int,
    public val resizes: Boolean,
    public val background: Int?,
    internal val mean: FloatArray,
    internal val deviation: FloatArray,
    private val resized: Resized
) {
    /** How images are resized before [width] x [height] is cut out of the middle. */
    private class Resized(val shorterSide: Boolean, val size: Int?, val filter: Filter)

    internal val filter: Filter
        get() = resized.filter

    /** Width and height to which an image is resized. */
    internal fun sizeOf(imageWidth: Int, imageHeight: Int): Pair<Int, Int> {
        if (!resizes) return Pair(width, height)
        val size = resized.size ?: return Pair(width, height)
        if (!resized.shorterSide) return Pair(size, size)
        val short = minOf(imageWidth, imageHeight)
        val sides = listOf(imageWidth, imageHeight).map { size.toLong() * it / short }
        require(sides.all { it <= Int.MAX_VALUE }) {
            "an image of $imageWidth x $imageHeight pixels is too large"
        }
        return Pair(sides[0].toInt(), sides[1].toInt())
    }

    internal companion object {
        fun of(input: JsonObject): Preprocessing {
            val steps = input.fields("preprocessing")
            val normalization = input.fields("normalization")
            val channels =
                when (val order = steps.text("color_order")) {
                    "RGB" -> 3
                    "gray" -> 1
                    else -> throw PwlException.InvalidPlan("channels $order are no image's")
                }
            val resize = steps.known("resize", "none", "stretch", "shortest-edge")
            steps.int("scale", 255..255)
            val mean = normalization.floats("mean", channels)
            val deviation = normalization.floats("std", channels)
            for (channel in 0 until channels) {
                requireNormalizing(mean[channel], deviation[channel])
            }
            val width = steps.int("width", SIDE)
            val height = steps.int("height", SIDE)
            if (width.toLong() * height * channels > Int.MAX_VALUE) {
                throw PwlException.InvalidPlan("width $width and height $height are no image's")
            }
            val resized = resized(steps, resize, minOf(width, height))
            val background = steps.textOrNull("background")?.let { color(it) }
            val resizes = resize != "none"
            return Preprocessing(
                width,
                height,
                channels,
                resizes,
                background,
                mean,
                deviation,
                resized
            )
        }

        private fun resized(steps: JsonObject, resize: String, least: Int): Resized {
            val cuts = steps.known("crop", "none", "center") == "center"
            if (resize == "none") {
                if (cuts) {
                    throw PwlException.InvalidPlan(
                        "crop center of images that stay as they are"
                    )
                }
                return Resized(false, null, Filter.BILINEAR)
            }
            val filter =
                when (steps.known("filter", "bilinear-antialiased", "bicubic-antialiased")) {
                    "bicubic-antialiased" -> Filter.BICUBIC
                    else -> Filter.BILINEAR
                }
            val shorterSide = resize == "shortest-edge"
            if (!cuts) {
                if (shorterSide) throw PwlException.InvalidPlan("resize $resize without a crop")
                return Resized(false, null, filter)
            }
            return Resized(shorterSide, steps.int("resize_size", least..SIDE.last), filter)
        }

        /** A std of 0, or one that float32 takes for 0, would make infinity and NaN of pixels. */
        private fun requireNormalizing(mean: Float, deviation: Float) {
            if (!mean.isFinite()) throw PwlException.InvalidPlan("mean $mean is not finite")
            val ends = listOf(0f, 1f).map { (it - mean) / deviation }
            if (!(deviation > 0) || !deviation.isFinite() || !ends.all { it.isFinite() }) {
                throw PwlException.InvalidPlan("std $deviation divides no pixel")
            }
        }

        private fun color(text: String): Int {
            if (COLOR.matches(text)) return text.drop(1).toInt(16)
            throw PwlException.InvalidPlan("background $text is no color such as #ffffff")
        }

        private val COLOR = Regex("#[0-9a-fA-F]{6}")
        private val SIDE = 1..65536

        private fun JsonObject.floats(name: String, count: Int): FloatArray {
            val found = numbers(name)
            if (found.size != count) {
                throw PwlException.InvalidPlan("$name is not of $count channels")
            }
            return FloatArray(count) { found[it].toFloat() }
        }

        /** A step that this version knows how to do. */
        private fun JsonObject.known(name: String, vararg ways: String): String {
            val found = text(name)
            if (found !in ways) throw PwlException.InvalidPlan("$name $found is not known here")
            return found
        }
    }
}
