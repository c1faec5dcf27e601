package dev.pwl.sample

import android.content.Context
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.os.SystemClock
import dev.pwl.BundleManifest
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.Stage
import dev.pwl.WeightCaches
import dev.pwl.android.AppLifecycle
import dev.pwl.android.BitmapInput
import dev.pwl.android.openFromAssets
import dev.pwl.android.readManifest
import java.io.File
import java.util.concurrent.Executors
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** A stage that began to serve: seconds since the app started, accuracy from 0 to 1. */
data class Step(val stage: Int, val seconds: Float, val accuracy: Float)

/** How far the model is, or why there is none. */
data class Climb(val steps: List<Step> = emptyList(), val text: String = "Loading")

/** An image of `assets/samples`, and what it was taken for. */
class Classified(val bitmap: Bitmap, val text: String)

/**
 * The model of the app, opened once a process. It answers on a thread of its own, which opens it,
 * too; nothing here blocks the main thread.
 */
class Classifier(
    private val context: Context,
    private val lifecycle: AppLifecycle,
    private val packs: Packs
) {
    private class Opened(val model: ProgressiveModel, val manifest: BundleManifest) {
        private val input = BitmapInput(manifest.input)

        fun classify(bitmap: Bitmap): String {
            val logits = model.run(input.convert(bitmap)).logits
            return manifest.labels[logits.indices.maxBy { logits[it] }]
        }
    }

    private val began = SystemClock.elapsedRealtime()
    private val inference =
        Executors.newSingleThreadExecutor { Thread(it, "inference").apply { isDaemon = true } }
            .asCoroutineDispatcher()
    private val scope = CoroutineScope(SupervisorJob() + inference)
    private val climbed = MutableStateFlow(Climb())
    private val opened = scope.async { runCatching { open() } }

    /** What was reached so far; any number of activities, one after the other, may collect it. */
    val climb: StateFlow<Climb> = climbed.asStateFlow()

    init {
        scope.launch {
            opened.await().fold(::follow) { climbed.value = Climb(text = "No model: $it") }
        }
    }

    /**
     * Classifies one of the images, when there is a model. Being cancelled drops the answer.
     *
     * @return the image, and why it could not be classified if it could not. Null without a model.
     */
    suspend fun classify(which: Int): Classified? {
        val classifier = opened.await().getOrNull() ?: return null
        return withContext(inference) {
            val names = context.assets.list("samples").orEmpty().sorted()
            val name = names[which % names.size]
            val bitmap =
                context.assets.open("samples/$name").use { BitmapFactory.decodeStream(it) }
            val answer = runCatching { classifier.classify(bitmap) }
            Classified(bitmap, "$name is: ${answer.getOrElse { "unknown, $it" }}")
        }
    }

    private fun open(): Opened {
        val folders = packs.follow { folder ->
            scope.launch { opened.await().getOrNull()?.model?.addFolder(folder) }
        }
        // What makes weight caches changes with the app.
        val info = context.packageManager.getPackageInfo(context.packageName, 0)
        val place = File(context.codeCacheDir, "pwl")
        val caches = WeightCaches(place, quota = 64L shl 20, madeBy = "${info.lastUpdateTime}")
        val options = Options(advance = false, weightCaches = caches)
        val model = openFromAssets(context, folders = folders, options = options)
        lifecycle.attach(model)
        return Opened(model, readManifest(context))
    }

    private fun follow(of: Opened) {
        scope.launch { of.model.stage.collect { tell(it, of.manifest) } }
        scope.launch {
            of.model.stage.first { it.isFinal }
            of.model.buildWeightCaches() // nothing is left to load: the next start is quicker
        }
    }

    private fun tell(now: Stage, manifest: BundleManifest) {
        var steps = climbed.value.steps
        if (steps.lastOrNull()?.stage != now.index) {
            val seconds = (SystemClock.elapsedRealtime() - began) / 1000f
            steps = steps + Step(now.index, seconds, manifest.stages[now.index].accuracy.toFloat())
        }
        val why = now.stopped?.let { ": $it" } ?: ""
        climbed.value = Climb(steps, "Stage ${now.index} of ${manifest.stages.size - 1}$why")
    }
}
