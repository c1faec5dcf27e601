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
