package dev.pwl

import java.io.File

/**
 * What a person needs to know of a bundle: names of labels, accuracy of stages, preprocessing.
 *
 * Read from manifest.json, which is among the files of the student. A model runs without it.
 *
 * @property name of the bundle.
 * @property labels what each of a model's logits stands for, in their order.
 * @property stages what each stage is worth.
 * @property inputShape sizes of what a model reads, in the order of its floats, the batch of one
 *   first.
 */
public class BundleManifest
private constructor(
    public val name: String,
    public val labels: List<String>,
    public val stages: List<StageInfo>,
    public val inputShape: List<Int>,
    private val images: Preprocessing?,
    internal val threads: Int,
    internal val shapes: Map<String, UnitShapes>
) {
    /** Whether a model reads images: others, of sounds or sensors, are given their floats. */
    public val readsImages: Boolean
        get() = images != null

    /**
     * How an image becomes what a model reads.
     *
     * @throws IllegalStateException if it reads no images: see [readsImages].
     */
    public val input: Preprocessing
        get() =
            checkNotNull(images) {
                "$name reads a tensor $inputShape, no image: give its floats to run(FloatArray)"
            }

    /**
     * A stage as the build measured it.
     *
     * @property route S for a block of the student, T for one of the teacher, t for one of the
     *   teacher in int8 that a later stage replaces.
     * @property accuracy share of test images that are labeled rightly, from 0 to 1.
     * @property loadBytes size of what it loads beyond the stage before.
     */
    public class StageInfo
    internal constructor(
        public val route: String,
        public val accuracy: Double,
        public val loadBytes: Long
    )

    public companion object {
        /**
         * Reads the text of a manifest.json.
         *
         * @throws PwlException.InvalidPlan if it is none, or of a format that this version does not
         *   know.
         */
        @JvmStatic
        public fun parse(text: String): BundleManifest {
            try {
                return of(Json.parse(text))
            } catch (error: PwlException.InvalidPlan) {
                throw PwlException.InvalidPlan("manifest.json: ${error.message}")
            }
        }

        /**
         * Reads the manifest.json of a bundle that lies in a folder. Blocks.
         *
         * @throws java.io.IOException if it cannot be read.
         * @throws PwlException.InvalidPlan as [parse] does.
         */
        @JvmStatic
        public fun read(folder: File): BundleManifest = parse(File(folder, FILE).readText())

        /** Where a manifest is in a bundle. */
        public const val FILE: String = "manifest.json"

        private fun of(json: JsonObject): BundleManifest {
            val version = json.int("schema_version", 1..Int.MAX_VALUE)
            if (version != VERSION) {
                throw PwlException.InvalidPlan("of format $version; this version reads $VERSION")
            }
            return BundleManifest(
                json.text("name"),
                json.fields("model").texts("labels"),
                json.objects("stages").map {
                    val accuracy = it.fields("accuracy").number("top1", 0.0..1.0)
                    StageInfo(it.text("route"), accuracy, it.bytes("load_bytes"))
                },
                json.fields("input").ints("shape", 1..Int.MAX_VALUE),
                images(json.fields("input")),
                json.fields("backend").int("threads", Options.THREADS),
                json.objects("artifacts").associate { it.text("sha256") to UnitShapes.of(it) }
            )
        }

        /** The preprocessing of images; null where a model reads another tensor. */
        private fun images(input: JsonObject): Preprocessing? =
            when (val kind = input.textOrNull("kind") ?: "image") {
                "image" -> Preprocessing.of(input)
                "tensor", "tokens" -> null
                else -> throw PwlException.InvalidPlan("input kind $kind is not known here")
            }

        private const val VERSION = 2
    }
}

/** Sizes of what a program reads and writes, in the order of PyTorch: batch, channels, ... */
internal class UnitShapes private constructor(val input: LongArray, val output: LongArray) {
    companion object {
        fun of(artifact: JsonObject): UnitShapes =
            UnitShapes(edge(artifact.fields("input")), edge(artifact.fields("output")))

        private fun edge(edge: JsonObject): LongArray {
            val sizes = edge.ints("shape", 1..Int.MAX_VALUE).map { it.toLong() }
            if (edge.text("layout") != "NHWC" || sizes.size != 4) return sizes.toLongArray()
            val (batch, height, width, channels) = sizes
            return longArrayOf(batch, channels, height, width)
        }
    }
}
