package dev.pwl

import java.io.File

/**
 * Where the files of a bundle are when it is opened.
 *
 * @property slices files that came with the app; they count more than those in folders.
 * @property folders packs that have arrived, the newest last.
 * @property verified where verified files are remembered, unless the app says where.
 */
internal class BundleFiles(
    private val slices: List<FileSlice>,
    private val folders: List<File>,
    val verified: File? = null,
    private val readManifest: (() -> String)? = null
) {
    fun addTo(handle: Long) {
        for (slice in slices) {
            val path = slice.path.toByteArray()
            NativeModel.addSlice(handle, path, slice.descriptor, slice.offset, slice.length)
        }
        for (folder in folders) NativeModel.addFolder(handle, folder.utf8())
    }

    /** Where it is remembered which files were verified. */
    fun stamps(options: Options): ByteArray =
        (options.verifiedFiles ?: verified)?.utf8() ?: ByteArray(0)

    /** Gives [block] a handle that knows these files and the caches. Destroys it if that throws. */
    inline fun <T> withHandle(options: Options, block: (Long) -> T): T {
        val handle = NativeModel.create()
        try {
            addTo(handle)
            options.weightCaches?.addTo(handle)
            return block(handle)
        } catch (error: Throwable) {
            NativeModel.destroy(handle)
            throw error
        }
    }

    /** The text of manifest.json. */
    fun manifest(): String {
        readManifest?.let { return it() }
        val file = folders.asReversed().map {
            File(it, BundleManifest.FILE)
        }.firstOrNull { it.isFile }
        return file?.readText() ?: throw PwlException.Missing("no folder has a manifest.json")
    }
}

/** A path as it crosses to C++. */
internal fun File.utf8(): ByteArray = path.toByteArray()
