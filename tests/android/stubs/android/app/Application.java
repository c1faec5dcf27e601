package android.app;

import android.content.ComponentCallbacks;
import android.content.ComponentCallbacks2;
import android.content.Context;
import android.os.Bundle;
import java.util.ArrayList;
import java.util.List;

/** Keeps what is registered, so that a test can play the system. */
public class Application extends Context {
  public final List<ActivityLifecycleCallbacks> activities = new ArrayList<>();
  public final List<ComponentCallbacks> components = new ArrayList<>();

  public void onCreate() {}

  public void registerActivityLifecycleCallbacks(ActivityLifecycleCallbacks callback) {
    activities.add(callback);
  }

  public void unregisterActivityLifecycleCallbacks(ActivityLifecycleCallbacks callback) {
    activities.remove(callback);
  }

  public void registerComponentCallbacks(ComponentCallbacks callback) {
    components.add(callback);
  }

  public void unregisterComponentCallbacks(ComponentCallbacks callback) {
    components.remove(callback);
  }

  public void trimMemory(int level) {
    components.forEach(callback -> ((ComponentCallbacks2) callback).onTrimMemory(level));
  }

  @SuppressWarnings("deprecation")
  public void lowMemory() {
    components.forEach(ComponentCallbacks::onLowMemory);
  }

  public interface ActivityLifecycleCallbacks {
    void onActivityCreated(Activity activity, Bundle state);

    void onActivityStarted(Activity activity);

    void onActivityResumed(Activity activity);

    void onActivityPaused(Activity activity);

    void onActivityStopped(Activity activity);

    void onActivitySaveInstanceState(Activity activity, Bundle state);

    void onActivityDestroyed(Activity activity);
  }
}
