package android.view;

import android.content.Context;
import android.graphics.Canvas;

public class View {
  private OnClickListener listener;

  public View(Context context) {}

  public void setOnClickListener(OnClickListener listener) {
    this.listener = listener;
  }

  public boolean performClick() {
    listener.onClick(this);
    return true;
  }

  public void invalidate() {}

  public final int getWidth() {
    return 400;
  }

  public final int getHeight() {
    return 600;
  }

  protected void onDraw(Canvas canvas) {}

  public void draw(Canvas canvas) {
    onDraw(canvas);
  }

  public interface OnClickListener {
    void onClick(View view);
  }
}
