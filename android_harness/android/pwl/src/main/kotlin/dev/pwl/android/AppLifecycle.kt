package dev.pwl.android

import android.app.Activity
import android.app.Application
import android.content.ComponentCallbacks2
import android.content.res.Configuration
import android.os.Bundle
import dev.pwl.ProgressiveModel
import java.io.Closeable

/**
 * Has a model load while the app can be seen, and give memory back when the system wants it.
 *
 * Loading begins when an activity starts and is cancelled when the last one has stopped. In the
 * background, and when memory is short, the model goes back to its student. Open the model with
 * `Options(advance = false)`, and close this before the model. Made and closed on the main thread,
 * before the first activity starts.
 */
public class AppLifecycle(private val app: Application, private val model: ProgressiveModel) :
    Closeable {
    private var visible = 0 // main thread only

    private val activities =
        object : Application.ActivityLifecycleCallbacks {
            override fun onActivityStarted(activity: Activity) {
                if (visible++ == 0) model.advance()
            }

            override fun onActivityStopped(activity: Activity) {
                if (--visible == 0) model.cancel()
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
                if (hidden || level == RUNNING_CRITICAL) model.retreat()
            }

            override fun onConfigurationChanged(configuration: Configuration) {}

            @Deprecated("Deprecated in Java")
            override fun onLowMemory() {
                model.retreat()
            }
        }

    init {
        app.registerActivityLifecycleCallbacks(activities)
        app.registerComponentCallbacks(memory)
    }

    override fun close() {
        app.unregisterActivityLifecycleCallbacks(activities)
        app.unregisterComponentCallbacks(memory)
    }

    private companion object {
        const val RUNNING_CRITICAL = 15 // deprecated in API 34; older systems still tell it
    }
}
