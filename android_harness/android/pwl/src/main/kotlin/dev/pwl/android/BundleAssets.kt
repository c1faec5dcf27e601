package dev.pwl.android

import android.content.Context
import android.content.res.AssetFileDescriptor
import android.content.res.AssetManager
import dev.pwl.BundleFiles
import dev.pwl.BundleManifest
import dev.pwl.FileSlice
import dev.pwl.InstallStep
import dev.pwl.Installed
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.PwlException
import dev.pwl.installFiles
import java.io.File
import java.io.IOException

/**
 * Opens a bundle whose student came with the app, in its assets or in an install-time asset pack,
 * and loads the student. Blocks as long as that takes: keep it off the main thread.
 *
 * @param context any of the app's.
 * @param name the folder below `assets/`, as the profile's `[android] name` says.
 * @param folders packs that have arrived: `File(location.assetsPath(), name)` of each.
 *   [ProgressiveModel.addFolder] adds those that arrive later.
 * @param options unless they say where, it is remembered in `noBackupFilesDir` which files were
 *   verified: each is hashed once an installation.
 * @throws PwlException if the student cannot be loaded.
 * @throws IOException if an asset was compressed: `noCompress` is missing in build.gradle.kts.
 */
@JvmOverloads
public fun openFromAssets(
    context: Context,
    name: String = "pwl",
    folders: List<File> = emptyList(),
    options: Options = Options()
): ProgressiveModel = withAssets(context, name, folders) { ProgressiveModel.open(it, options) }

/**
 * Prepares such a bundle for its next start: as [dev.pwl.install], which says what that is. Opens the
 * assets on the calling thread, which takes milliseconds, and then suspends.
 *
 * @param folders packs that have arrived: all of them.
 * @param options those that the model is opened with. Unless they say where, it is remembered in
 *   `noBackupFilesDir` which files were verified, as [openFromAssets] reads it.
 * @throws PwlException as [dev.pwl.install] does.
 * @throws IOException if an asset was compressed: `noCompress` is missing in build.gradle.kts.
 */
public suspend fun installFromAssets(
    context: Context,
    name: String = "pwl",
    folders: List<File> = emptyList(),
    options: Options = Options(),
    onStep: ((InstallStep) -> Unit)? = null
): Installed = withAssets(context, name, folders) { installFiles(it, options, onStep) }

/** Gives what is among the assets and in folders to a block; open until it ends. */
private inline fun <T> withAssets(
    context: Context,
    name: String,
    folders: List<File>,
    block: (BundleFiles) -> T
): T {
    val assets = context.assets
    val open = mutableListOf<AssetFileDescriptor>()
    try {
        val slices =
            bundleFiles(assets, name).map { path ->
                val file = openStored(assets, "$name/$path").also { open += it }
                FileSlice(path, file.parcelFileDescriptor.fd, file.startOffset, file.length)
            }
        val verified = File(context.noBackupFilesDir, "$name-verified")
        return block(BundleFiles(slices, folders, verified) { manifestText(assets, name) })
    } finally {
        open.forEach { it.close() }
    }
}

/**
 * Reads the manifest of a bundle whose student came with the app. Blocks for a few milliseconds.
 *
 * @param name the folder below `assets/`.
 * @throws PwlException.InvalidPlan if this version cannot read it.
 * @throws IOException if it is not there.
 */
@JvmOverloads
public fun readManifest(context: Context, name: String = "pwl"): BundleManifest =
    BundleManifest.parse(manifestText(context.assets, name))

private fun manifestText(assets: AssetManager, name: String): String =
    assets.open("$name/${BundleManifest.FILE}").use { it.readBytes().toString(Charsets.UTF_8) }

/** What of a bundle is opened: the plan and the programs that are among the assets. */
private fun bundleFiles(assets: AssetManager, name: String): List<String> =
    listOf("loading.plan") + assets.list("$name/units").orEmpty().map { "units/$it" }

private fun openStored(assets: AssetManager, path: String): AssetFileDescriptor = try {
    assets.openFd(path)
} catch (error: IOException) {
    throw IOException(
        "$path is not among the assets, or compressed: build.gradle.kts needs " +
            "androidResources { noCompress += listOf(\"pte\", \"tflite\", \"plan\") }",
        error
    )
}
