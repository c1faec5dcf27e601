package dev.pwl.sample

import android.app.Activity
import android.content.ComponentCallbacks2
import android.graphics.BitmapFactory
import android.os.Bundle
import android.os.SystemClock
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import dev.pwl.BundleManifest
import dev.pwl.Options
import dev.pwl.ProgressiveModel
import dev.pwl.Stage
import dev.pwl.WeightCaches
import dev.pwl.android.BitmapInput
import dev.pwl.android.openFromAssets
import dev.pwl.android.readManifest
import java.io.File
import java.util.concurrent.Executors
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch

/**
 * Shows an image of `assets/samples`, what the model takes it for, and the model becoming better.
 *
 * Made for packs that are installed with the app (`[android] delivery = "install-time"`); an app with
 * others tells the model of them by `addFolder`.
 */
class MainActivity : Activity() {
    private val inference = Executors.newSingleThreadExecutor()
    private val scope = CoroutineScope(Dispatchers.Default)
    private val began = SystemClock.elapsedRealtime()
    private lateinit var image: ImageView
    private lateinit var answer: TextView
    private lateinit var stage: TextView
    private lateinit var curve: CurveView
    private var shown = 0

    // Of the model that is open; used by the thread that infers alone.
    private lateinit var input: BitmapInput
    private lateinit var labels: List<String>

    @Volatile private var visible = false

    @Volatile private var model: ProgressiveModel? = null

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        image = ImageView(this)
        answer = TextView(this).apply { textSize = 24f }
        stage = TextView(this)
        curve = CurveView(this)
        val next = Button(this).apply { text = "Next image" }
        next.setOnClickListener { show(shown + 1) }
        val column = LinearLayout(this).apply { orientation = LinearLayout.VERTICAL }
        for (view in listOf(image, answer, stage, next)) column.addView(view)
        column.addView(
            curve,
            LinearLayout.LayoutParams(LinearLayout.LayoutParams.MATCH_PARENT, 600)
        )
        setContentView(column)
        inference.execute { open() }
        show(0)
    }

    private fun open() {
        // What makes weight caches changes with the app.
        val made = packageManager.getPackageInfo(packageName, 0).lastUpdateTime.toString()
        val caches = WeightCaches(File(codeCacheDir, "pwl"), quota = 64L shl 20, madeBy = made)
        val opened = openFromAssets(this, options = Options(advance = false, weightCaches = caches))
        model = opened
        val manifest = readManifest(this)
        input = BitmapInput(manifest.input)
        labels = manifest.labels
        scope.launch { opened.stage.collect { tell(it, manifest) } }
        if (visible) opened.advance()
        scope.launch {
            opened.stage.first { it.isFinal }
            opened.buildWeightCaches() // nothing is left to load: the next start is quicker
        }
    }

    private fun tell(now: Stage, manifest: BundleManifest) {
        val seconds = (SystemClock.elapsedRealtime() - began) / 1000f
        runOnUiThread {
            curve.add(seconds, manifest.stages[now.index].accuracy.toFloat())
            val why = now.stopped?.let { ": $it" } ?: ""
            stage.text = "Stage ${now.index} of ${manifest.stages.size - 1}$why"
            show(shown)
        }
    }

    private fun show(which: Int) {
        shown = which
        inference.execute {
            val ready = model ?: return@execute
            val names = assets.list("samples").orEmpty()
            val name = names[which % names.size]
            val bitmap = assets.open("samples/$name").use { BitmapFactory.decodeStream(it) }
            val logits = ready.run(input.convert(bitmap)).logits
            val label = labels[logits.indices.maxBy { logits[it] }]
            runOnUiThread {
                image.setImageBitmap(bitmap)
                answer.text = "$name is: $label"
            }
        }
    }

    override fun onStart() {
        super.onStart()
        visible = true
        model?.advance()
    }

    override fun onStop() {
        visible = false
        model?.cancel()
        super.onStop()
    }

    override fun onTrimMemory(level: Int) {
        super.onTrimMemory(level)
        if (level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND) model?.retreat()
    }

    override fun onDestroy() {
        scope.cancel()
        inference.execute { model?.close() }
        inference.shutdown()
        super.onDestroy()
    }
}
