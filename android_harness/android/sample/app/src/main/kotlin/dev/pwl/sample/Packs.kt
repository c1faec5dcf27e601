package dev.pwl.sample

import com.google.android.play.core.assetpacks.AssetPackManager
import com.google.android.play.core.assetpacks.model.AssetPackStatus
import java.io.File

/**
 * The packs that Play delivers after the app, as fast-follow and on-demand ones: ordinary folders.
 * Those that are installed with the app are among its assets, and none of these.
 */
class Packs(private val play: AssetPackManager) {
    /**
     * Has each pack that arrives from now on told, on the main thread, and asks Play for those that
     * are missing: a download that has begun goes on. Gives the folders of those that are there.
     */
    fun follow(onArrival: (File) -> Unit): List<File> {
        play.registerListener { state ->
            if (state.status() == AssetPackStatus.COMPLETED) folder(state.name())?.let(onArrival)
        }
        val (there, missing) = NAMES.partition { folder(it) != null }
        if (missing.isNotEmpty()) play.fetch(missing)
        return there.mapNotNull { folder(it) }
    }

    private fun folder(pack: String): File? =
        play.getPackLocation(pack)?.assetsPath()?.let { File(it, "pwl") }

    private companion object {
        val NAMES = listOf("pwl_teacher")
    }
}
