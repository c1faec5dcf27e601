package dev.pwl.test

import dev.pwl.BundleManifest
import dev.pwl.ImageInput
import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * Converts images. Each of the arguments is a folder with a `manifest.json` and the pixels of one
 * image: `WIDTHxHEIGHT.argb`, 32 bits each. Writes `input.f32` beside them, or `refused.txt`.
 */
object Images {
    @JvmStatic
    fun main(arguments: Array<String>) {
        for (folder in arguments.map { File(it) }) {
            val file = folder.listFiles()!!.single { it.extension == "argb" }
            val (width, height) = file.nameWithoutExtension.split("x").map { it.toInt() }
            val pixels = IntArray(width * height)
            ByteBuffer.wrap(
                file.readBytes()
            ).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(pixels)
            val input = ImageInput(BundleManifest.read(folder).input)
            try {
                val values = input.convert(pixels, width, height)
                val bytes = ByteBuffer.allocate(values.size * 4).order(ByteOrder.LITTLE_ENDIAN)
                bytes.asFloatBuffer().put(values)
                File(folder, "input.f32").writeBytes(bytes.array())
            } catch (error: IllegalArgumentException) {
                File(folder, "refused.txt").writeText(error.message!!)
            }
        }
    }
}
