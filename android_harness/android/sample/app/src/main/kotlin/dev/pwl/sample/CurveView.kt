package dev.pwl.sample

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.view.View
import kotlin.math.max

/** Accuracy over the time since the app wanted an answer: a step for each stage that serves. */
class CurveView(context: Context) : View(context) {
    private var steps = emptyList<Step>()
    private val line =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            color = Color.rgb(0, 110, 200)
            strokeWidth = 6f
        }
    private val text = Paint(Paint.ANTI_ALIAS_FLAG).apply { textSize = 32f }

    /** Main thread. */
    fun show(steps: List<Step>) {
        this.steps = steps
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        if (steps.isEmpty()) return
        val lowest = steps.minOf { it.accuracy }
        val range = max(steps.maxOf { it.accuracy } - lowest, 0.01f)
        val end = max(steps.last().seconds * 1.25f, 0.1f)
        val x = { seconds: Float -> seconds / end * width }
        val y = { accuracy: Float -> height * (0.9f - 0.7f * (accuracy - lowest) / range) }
        for ((index, step) in steps.withIndex()) {
            val next = steps.getOrNull(index + 1)
            val right = x(next?.seconds ?: end)
            canvas.drawLine(x(step.seconds), y(step.accuracy), right, y(step.accuracy), line)
            if (next != null) {
                canvas.drawLine(right, y(step.accuracy), right, y(next.accuracy), line)
            }
            val share = "%.1f %%".format(step.accuracy * 100)
            canvas.drawText(share, x(step.seconds), y(step.accuracy) - 12f, text)
        }
    }
}
