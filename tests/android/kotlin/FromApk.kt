package dev.pwl.test

import dev.pwl.FileSlice
import dev.pwl.ProgressiveModel
import java.io.File
import java.io.RandomAccessFile

/**
 * Opens a model whose student lies in an APK, and prints the stages that answered as golden says.
 *
 * Arguments: bundle, libLiteRt.so, APK, and for each file `PATH OFFSET LENGTH`.
 */
object FromApk {
    @JvmStatic
    fun main(arguments: Array<String>) {
        val (bundle, library, apk) = arguments
        val fixture = Fixture(File(bundle), library, File("/nonexistent"))
        RandomAccessFile(apk, "r").use { file ->
            val slices =
                arguments.drop(3).chunked(3).map { (path, offset, length) ->
                    FileSlice(path, file.fd.number(), offset.toLong(), length.toLong())
                }
            val options = fixture.options(advance = false)
            ProgressiveModel.open(slices, options = options).using { println(fixture.runAll(it)) }
        }
    }
}
