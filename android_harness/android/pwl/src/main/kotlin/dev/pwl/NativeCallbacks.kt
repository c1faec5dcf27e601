package dev.pwl

import java.util.concurrent.atomic.AtomicReference
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.update

/**
 * Turns what the loading thread tells and asks into a flow. Called by name from C++.
 *
 * What there was no memory to publish is published by the next call from C++, or inference.
 */
internal class NativeCallbacks(private val ask: ((Int) -> Boolean)?) {
    val state = MutableStateFlow(Stage(index = 0, isFinal = false))

    /** Set once, before anything is loaded. */
    @Volatile var last = 0

    @Volatile private var thrown: Throwable? = null

    // What C++ has told: the stage that serves, and a failure that is not published yet.
    @Volatile private var serving = 0

    private val failure = AtomicReference<PwlException?>()

    @Volatile private var behind = false

    fun stageActive(stage: Int) {
        serving = stage
        publish()
    }

    /** [message] is null where there was no memory for it. */
    fun stageFailed(stage: Int, code: Int, message: ByteArray?) {
        val cause = thrown.also { thrown = null }
        val why = try {
            if (cause != null) {
                PwlException.Failed("mayLoad threw at stage $stage", cause)
            } else {
                NativeFailures.exception(code, message!!)
            }
        } catch (_: Throwable) {
            OUT_OF_MEMORY
        }
        failure.set(why)
        publish()
    }

    /** 1: yes, 0: no, -1: it threw. */
    fun mayLoad(stage: Int): Int = try {
        catchUp()
        if (ask == null || ask.invoke(stage)) 1 else 0
    } catch (error: Throwable) {
        thrown = error
        -1
    }

    fun stopped(why: PwlException?) {
        state.update { it.copy(stopped = why) }
    }

    /** Publishes what there was no memory for before. */
    fun catchUp() {
        if (behind) publish()
    }

    /** By the loading thread, and by one that infers: neither undoes what the other notes. */
    private fun publish() {
        behind = false // what is told from here on is read below, or publishes itself
        try {
            val why = failure.get()
            state.update {
                // Loading went on after a failure: then it was asked for again.
                val over = serving > it.index && it.stopped !is PwlException.Cancelled
                Stage(serving, serving == last, why ?: if (over) null else it.stopped)
            }
            failure.compareAndSet(why, null)
        } catch (_: Throwable) {
            behind = true // nobody above the loading thread would catch it
        }
    }

    private companion object {
        /** Made while there is memory. */
        val OUT_OF_MEMORY = PwlException.Failed("Java had no memory left to say why")
    }
}
