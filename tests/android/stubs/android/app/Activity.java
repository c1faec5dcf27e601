package android.app;

import android.content.Context;
import android.os.Bundle;
import android.view.View;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Its perform... are what the system calls, in the order of the real one, on {@link #MAIN}. */
public class Activity extends Context {
  private static Thread main;

  /** The main thread. */
  public static final ExecutorService MAIN =
      Executors.newSingleThreadExecutor(
          task -> {
            main = new Thread(task, "main");
            main.setDaemon(true);
            return main;
          });

  private Application application;
  private View content;

  public final Application getApplication() {
    return application;
  }

  public final void runOnUiThread(Runnable action) {
    if (Thread.currentThread() == main) {
      action.run();
    } else {
      MAIN.execute(action);
    }
  }

  public void setContentView(View view) {
    content = view;
  }

  public View content() {
    return content;
  }

  protected void onCreate(Bundle state) {}

  protected void onStart() {}

  protected void onStop() {}

  protected void onSaveInstanceState(Bundle state) {}

  protected void onDestroy() {}

  public void performStart(Application application, Bundle state) {
    this.application = application;
    onCreate(state);
    application.activities.forEach(callback -> callback.onActivityStarted(this));
    onStart();
  }

  public Bundle performDestroy() {
    Bundle state = new Bundle();
    onStop();
    application.activities.forEach(callback -> callback.onActivityStopped(this));
    onSaveInstanceState(state);
    onDestroy();
    return state;
  }
}
