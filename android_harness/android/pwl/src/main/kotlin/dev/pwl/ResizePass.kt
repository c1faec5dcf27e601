package dev.pwl

import kotlin.math.abs
import kotlin.math.max
import kotlin.math.min

/**
 * One direction of a bilinear, antialiased resize in whole numbers.
 *
 * The weights are those of Pillow's `Image.resize` for 8 bits a channel (a triangle, as wide as the
 * pixels that one of a shrunken image covers), in 22 bits behind the point.
 */
internal class ResizePass(private val from: Int, private val to: Int) {
    private val first = IntArray(to) // the first pixel that each new one is made of
    private val weights = Array(to) { weightsOf(it) }

    /**
     * Resizes one row.
     *
     * @param source [from] pixels.
     * @param target receives [to] pixels from [at] on.
     */
    fun row(source: ByteArray, target: ByteArray, at: Int, channels: Int) {
        if (from == to) {
            source.copyInto(target, at)
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
        if (from == to) {
            source.copyInto(target)
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
        val scale = from.toDouble() / to
        val support = max(scale, 1.0)
        val center = (pixel + 0.5) * scale
        val begin = max((center - support + 0.5).toInt(), 0)
        val end = min((center + support + 0.5).toInt(), from)
        first[pixel] = begin
        val inverse = 1 / support
        val shares =
            DoubleArray(end - begin) { max(0.0, 1 - abs((it + begin - center + 0.5) * inverse)) }
        val total = shares.sum()
        return IntArray(shares.size) { (0.5 + shares[it] / total * (1 shl PRECISION)).toInt() }
    }

    private companion object {
        const val PRECISION = 22
    }
}
