package dev.pwl

/**
 * How an image becomes what a model reads, as its training did it. [ImageInput] does it.
 *
 * The steps, in this order: the image is turned upright and in sRGB (whoever decodes it does that);
 * color or gray; on the background, where it is transparent; resized; divided by 255, less the mean,
 * over the deviation.
 *
 * @property width of an image that the model reads, in pixels.
 * @property height of it.
 * @property channels 3: red, green, blue; 1: gray.
 * @property resizes whether images of other sizes are stretched to it, bilinear and antialiased;
 *   otherwise they have to be of this size.
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
    internal val deviation: FloatArray
) {
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
            val resizes = steps.known("resize", "none", "stretch") == "stretch"
            steps.known("crop", "none")
            if (resizes) steps.known("filter", "bilinear-antialiased")
            if (steps.int("scale") != 255) throw PwlException.InvalidPlan("a scale other than 255")
            val mean = normalization.floats("mean", channels)
            val deviation = normalization.floats("std", channels)
            val background = steps.textOrNull("background")?.let {
                it.removePrefix("#").toIntOrNull(16)
                    ?: throw PwlException.InvalidPlan("background $it is no color")
            }
            return Preprocessing(
                steps.int("width"),
                steps.int("height"),
                channels,
                resizes,
                background,
                mean,
                deviation
            )
        }

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
