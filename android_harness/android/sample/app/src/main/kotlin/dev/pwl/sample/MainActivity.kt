package dev.pwl.sample

import android.app.Activity
import android.os.Bundle
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.TextView
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch

/** Shows an image of `assets/samples`, what the model takes it for, and the model becoming better. */
class MainActivity : Activity() {
    private val scope = CoroutineScope(Dispatchers.Default) // until the activity is destroyed
    private val classifier
        get() = (application as SampleApp).classifier
    private lateinit var image: ImageView
    private lateinit var answer: TextView
    private lateinit var stage: TextView
    private lateinit var curve: CurveView
    private var shown = 0

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        shown = state?.getInt(SHOWN) ?: 0
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
        scope.launch { classifier.climb.collect { runOnUiThread { show(it) } } }
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putInt(SHOWN, shown)
    }

    override fun onDestroy() {
        scope.cancel() // what was asked for is not shown any more, whoever asks from now on
        super.onDestroy()
    }

    private fun show(climb: Climb) {
        curve.show(climb.steps)
        stage.text = climb.text
        show(shown) // a better stage may answer otherwise
    }

    private fun show(which: Int) {
        shown = which
        scope.launch {
            val found = classifier.classify(which) ?: return@launch
            runOnUiThread {
                image.setImageBitmap(found.bitmap)
                answer.text = found.text
            }
        }
    }

    private companion object {
        const val SHOWN = "shown"
    }
}
