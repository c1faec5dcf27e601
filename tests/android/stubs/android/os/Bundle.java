package android.os;

import java.util.HashMap;
import java.util.Map;

public final class Bundle {
  private final Map<String, Integer> values = new HashMap<>();

  public int getInt(String key) {
    return values.getOrDefault(key, 0);
  }

  public void putInt(String key, int value) {
    values.put(key, value);
  }
}
