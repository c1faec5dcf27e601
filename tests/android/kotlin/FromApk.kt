package dev.pwl.test

import dev.pwl.FileSlice
import dev.pwl.ProgressiveModel
import java.io.File
import java.io.RandomAccessFile

/**
 * Opens models whose student lies in an APK. Prints for each the stages that answered as golden says,
 * and which of its files are mapped while it serves.
 *
 * Arguments: bundle, libLiteRt.so, and for each APK a file with lines: its path, then `PATH OFFSET
 * LENGTH` of each file in it.
 */
object FromApk {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (bundle, library) = arguments
        val fixture = Fixture(File(bundle), library, File("/nonexistent"))
        for (index in arguments.drop(2)) {
            val lines = File(index).readLines()
            open(fixture, File(lines.first()), lines.drop(1).map { it.split(" ") })
        }
    }

    private fun open(fixture: Fixture, apk: File, entries: List<List<String>>) {
        RandomAccessFile(apk, "r").use { file ->
            val slices =
                entries.map { (path, offset, length) ->
                    FileSlice(path, file.fd.number(), offset.toLong(), length.toLong())
                }
            val options = fixture.options(advance = false)
            ProgressiveModel.open(slices, options = options).using { model ->
                val stages = fixture.runAll(model)
                val mapped = slices.filter { it.isMapped(apk) }.map { it.path }
                println("$stages\t${mapped.joinToString(" ")}")
            }
        }
    }

    /** Whether a mapping of the APK holds it: `BEGIN-END MODE OFFSET DEVICE INODE PATH`. */
    private fun FileSlice.isMapped(apk: File): Boolean = File("/proc/self/maps").useLines { lines ->
        lines.filter { it.endsWith(" ${apk.path}") }.any { line ->
            val (addresses, _, begins) = line.split(Regex(" +"))
            val (begin, end) = addresses.split("-").map { it.toLong(16) }
            val first = begins.toLong(16)
            offset >= first && offset + length <= first + end - begin
        }
    }
}
