package dev.pwl

import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.update

/** Turns what the loading thread tells and asks into a flow. Called by name from C++. */
internal class NativeCallbacks(private val ask: ((Int) -> Boolean)?) {
    val state = MutableStateFlow(Stage(index = 0, isFinal = false))

    /** Set once, before anything is loaded. */
    @Volatile var last = 0

    @Volatile private var thrown: Throwable? = null

    fun stageActive(stage: Int) {
        state.update {
            // Loading went on after a failure: then it was asked for again.
            val over = stage > it.index && it.stopped !is PwlException.Cancelled
            Stage(stage, stage == last, if (over) null else it.stopped)
        }
    }

    fun stageFailed(stage: Int, code: Int, message: ByteArray) {
        val cause = thrown.also { thrown = null }
        val failure =
            if (cause != null) {
                PwlException.Failed("mayLoad threw at stage $stage", cause)
            } else {
                NativeFailures.exception(code, message)
            }
        stopped(failure)
    }

    /** 1: yes, 0: no, -1: it threw. */
    fun mayLoad(stage: Int): Int = try {
        if (ask == null || ask.invoke(stage)) 1 else 0
    } catch (error: Throwable) {
        thrown = error
        -1
    }

    fun stopped(why: PwlException?) {
        state.update { it.copy(stopped = why) }
    }
}
