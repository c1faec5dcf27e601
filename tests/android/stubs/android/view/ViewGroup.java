package android.view;

import android.content.Context;
import java.util.ArrayList;
import java.util.List;

public abstract class ViewGroup extends View {
  public final List<View> children = new ArrayList<>();

  public ViewGroup(Context context) {
    super(context);
  }

  public void addView(View child) {
    children.add(child);
  }

  public void addView(View child, LayoutParams parameters) {
    children.add(child);
  }

  public static class LayoutParams {
    public static final int MATCH_PARENT = -1;
  }
}
