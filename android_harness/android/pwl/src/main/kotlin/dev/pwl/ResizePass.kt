package dev.pwl

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/** What pixels around a place weigh. */
internal enum class Filter(val support: Double) {
    /** A triangle. */
    BILINEAR(1.0) {
        override fun weight(distance: Double): Double = max(0.0, 1 - distance)
    },

    /** Keys' cubic convolution with a = -0.5, as Pillow has it. */
    BICUBIC(2.0) {
        override fun weight(distance: Double): Double = when {
            distance < 1 -> ((SHARPNESS + 2) * distance - (SHARPNESS + 3)) * distance * distance +
                1

            distance < 2 -> (((distance - 5) * distance + 8) * distance - 4) * SHARPNESS

            else -> 0.0
        }
    };

    /** @param distance of a pixel, in pixels of the coarser image; 0 or more. */
    abstract fun weight(distance: Double): Double

    private companion object {
        const val SHARPNESS = -0.5
    }
}

/**
 * One direction of an antialiased resize in whole numbers, of which a part in the middle is kept.
 *
 * The weights are those of Pillow's `Image.resize` for 8 bits a channel (a filter as wide as the
 * pixels that one of a shrunken image covers), in 22 bits behind the point.
 *
 * @param from pixels of the image.
 * @param whole pixels that it is resized to.
 * @param to how many of them are kept.
 */
internal class ResizePass(
    private val from: Int,
    private val whole: Int,
    private val to: Int,
    private val filter: Filter
) {
    private val left = (whole - to) / 2
    private val first = IntArray(to) // the first pixel that each new one is made of
    private val weights = Array(if (from == whole) 0 else to) { weightsOf(it) }

    /**
     * Resizes one row.
     *
     * @param source [from] pixels.
     * @param target receives [to] pixels from [at] on.
     */
    fun row(source: ByteArray, target: ByteArray, at: Int, channels: Int) {
        if (from == whole) {
            source.copyInto(target, at, left * channels, (left + to) * channels)
            return
        }
        for (x in 0 until to) {
            for (channel in 0 until channels) {
                val begin = first[x] * channels + channel
                target[at + x * channels + channel] = sum(source, begin, channels, weights[x])
            }
        }
    }

    /**
     * Resizes columns.
     *
     * @param source [from] rows of [width] values.
     * @param target receives [to] such rows.
     */
    fun columns(source: ByteArray, target: ByteArray, width: Int) {
        if (from == whole) {
            source.copyInto(target, 0, left * width, (left + to) * width)
            return
        }
        for (y in 0 until to) {
            for (x in 0 until width) {
                target[y * width + x] = sum(source, first[y] * width + x, width, weights[y])
            }
        }
    }

    private fun sum(source: ByteArray, begin: Int, step: Int, weights: IntArray): Byte {
        var sum = 1 shl (PRECISION - 1)
        var at = begin
        for (weight in weights) {
            sum += (source[at].toInt() and 0xFF) * weight
            at += step
        }
        return (sum shr PRECISION).coerceIn(0, 255).toByte()
    }

    private fun weightsOf(pixel: Int): IntArray {
        val scale = from.toDouble() / whole
        val stretch = max(scale, 1.0)
        val support = filter.support * stretch
        val center = (left + pixel + 0.5) * scale
        val begin = max((center - support + 0.5).toInt(), 0)
        val end = min((center + support + 0.5).toInt(), from)
        first[pixel] = begin
        val inverse = 1 / stretch
        val shares =
            DoubleArray(end - begin) { filter.weight(abs((it + begin - center + 0.5) * inverse)) }
        val total = shares.sum()
        return IntArray(shares.size) {
            val share = shares[it] / total * (1 shl PRECISION)
            (if (share < 0) share - 0.5 else share + 0.5).toInt()
        }
    }

    private companion object {
        const val PRECISION = 22
    }
}
