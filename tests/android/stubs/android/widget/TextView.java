package android.widget;

import android.content.Context;
import android.view.View;
import java.util.function.Predicate;

/** Can be waited for. */
public class TextView extends View {
  private CharSequence text = "";

  public TextView(Context context) {
    super(context);
  }

  public synchronized CharSequence getText() {
    return text;
  }

  public final synchronized void setText(CharSequence text) {
    this.text = text;
    notifyAll();
  }

  public void setTextSize(float size) {}

  /** Blocks until the text is as it is wanted; gives it. */
  public synchronized String await(Predicate<String> wanted) throws InterruptedException {
    long end = System.nanoTime() + 60_000_000_000L;
    while (!wanted.test(text.toString())) {
      long left = (end - System.nanoTime()) / 1_000_000;
      if (left <= 0) throw new IllegalStateException("it says: " + text);
      wait(left);
    }
    return text.toString();
  }
}
