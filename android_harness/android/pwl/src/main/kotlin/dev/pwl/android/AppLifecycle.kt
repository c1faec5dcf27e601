package dev.pwl.android

import android.app.Activity
import android.app.Application
import android.content.ComponentCallbacks2
import android.content.res.Configuration
import android.os.Bundle
import dev.pwl.ProgressiveModel
import java.io.Closeable

/**
 * Has models load while the app can be seen, and give memory back when the system wants it.
 *
 * Made on the main thread before the first activity starts, in `Application.onCreate`. Models are
 * attached when they are open, whether or not an activity is visible by then:
 * ```
 * val model = openFromAssets(context, options = Options(advance = false))
 * lifecycle.attach(model)
 * ```
 *
 * Loading begins when an activity starts and is cancelled when the last one has stopped. Models go
 * back to their student when the system trims the memory of an app that is in the background, and
 * when memory is short while the app is visible (`TRIM_MEMORY_RUNNING_CRITICAL`, `onLowMemory`). In
 * the latter case they stay there as long as the app stays visible: loading at once what was given
 * up would meet the same shortage. They go up again when the app comes back after all of its
 * activities had stopped, or when the app calls [ProgressiveModel.advance] itself.
 *
 * [attach] and [detach] may be called from every thread.
 */
public class AppLifecycle(private val app: Application) : Closeable {
    // Guarded by models.
    private val models = mutableSetOf<ProgressiveModel>()
    private var visible = 0 // activities
    private var short = false // of memory, since the app became visible

    private val activities =
        object : Application.ActivityLifecycleCallbacks {
            override fun onActivityStarted(activity: Activity): Unit = synchronized(models) {
                if (visible++ == 0) {
                    short = false
                    each { it.advance() }
                }
            }

            override fun onActivityStopped(activity: Activity): Unit = synchronized(models) {
                if (--visible == 0) each { it.cancel() }
            }

            override fun onActivityCreated(activity: Activity, state: Bundle?) {}

            override fun onActivityResumed(activity: Activity) {}

            override fun onActivityPaused(activity: Activity) {}

            override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) {}

            override fun onActivityDestroyed(activity: Activity) {}
        }

    private val memory =
        object : ComponentCallbacks2 {
            // Since Android 14 the system tells UI_HIDDEN and BACKGROUND alone.
            override fun onTrimMemory(level: Int) {
                val hidden = level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND
                if (hidden || level == RUNNING_CRITICAL) giveBack()
            }

            override fun onConfigurationChanged(configuration: Configuration) {}

            @Deprecated("Deprecated in Java")
            override fun onLowMemory() = giveBack()
        }

    init {
        app.registerActivityLifecycleCallbacks(activities)
        app.registerComponentCallbacks(memory)
    }

    /** Begins to look after a model that is open, and has it load if the app is visible. */
    public fun attach(model: ProgressiveModel): Unit = synchronized(models) {
        models += model
        if (visible > 0 && !short) model.advance()
    }

    /** Leaves a model as it is. One that is closed is left without being asked. */
    public fun detach(model: ProgressiveModel): Unit = synchronized(models) { models -= model }

    /** Leaves all models as they are, and hears no more of the app. Main thread. */
    override fun close() {
        app.unregisterActivityLifecycleCallbacks(activities)
        app.unregisterComponentCallbacks(memory)
    }

    private fun giveBack() = synchronized(models) {
        short = visible > 0
        each { it.retreat() }
    }

    private fun each(act: (ProgressiveModel) -> Unit) {
        for (model in models.toList()) {
            try {
                act(model)
            } catch (_: IllegalStateException) {
                models -= model // it was closed
            }
        }
    }

    private companion object {
        const val RUNNING_CRITICAL = 15 // deprecated in API 34; older systems still tell it
    }
}
