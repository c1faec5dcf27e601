package android.graphics;

import java.util.ArrayList;
import java.util.List;

/** Keeps what is written on it. */
public class Canvas {
  public final List<String> texts = new ArrayList<>();

  public void drawLine(float x, float y, float toX, float toY, Paint paint) {}

  public void drawText(String text, float x, float y, Paint paint) {
    texts.add(text);
  }
}
