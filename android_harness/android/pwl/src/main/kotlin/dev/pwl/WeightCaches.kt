package dev.pwl

import java.io.File
import java.security.MessageDigest

/**
 * Where packed weights are kept between two starts of the app: the next start maps them.
 *
 * A program that has a cache loads in a fraction of the time; the cache takes as much storage as the
 * program. [ProgressiveModel.buildWeightCaches] builds them, or [install]; opening a model and
 * loading its stages only uses those that are there, and never takes longer because of one that is
 * not.
 *
 * @property folder it belongs to these caches alone, and never travels to another device:
 *   `File(context.codeCacheDir, "pwl")`, which Android empties with each update of app or system.
 * @property quota bytes that all caches in the folder may take. The programs of the first stages come
 *   first; caches of other models and of older releases go when there is no room, those that were
 *   not used for the longest time first.
 * @property madeBy names what makes the caches, and changes whenever that changes: the version of
 *   the app, or of its inference library. XNNPACK does not notice by itself.
 */
public class WeightCaches(
    public val folder: File,
    public val quota: Long,
    public val madeBy: String
) {
    init {
        require(quota >= 0) { "a quota of $quota bytes" }
    }

    /** The name of what makes them, as one of a file. */
    internal val runtime: String
        get() {
            val digest = MessageDigest.getInstance("SHA-256").digest(madeBy.toByteArray())
            return digest.take(8).joinToString("") { "%02x".format(it) }
        }

    /** Tells a model that is not open yet. */
    internal fun addTo(handle: Long) {
        folder.mkdirs()
        NativeModel.useCaches(handle, folder.utf8(), runtime.toByteArray(), quota)
    }

    /**
     * What [ProgressiveModel.buildWeightCaches] did, or [install].
     *
     * @property built programs whose cache was built.
     * @property there programs whose cache was there already.
     * @property without programs that have none: no room in the quota or on the storage, nothing to
     *   pack, or a file that is missing or damaged.
     */
    public data class Built(public val built: Int, public val there: Int, public val without: Int)
}
