package org.pytorch.executorch;

import java.util.Map;
import java.util.TreeMap;

public final class BackendOptionsMap {
  public final Map<String, Integer> values = new TreeMap<>();

  public BackendOptionsMap setInt(String backend, String key, int value) {
    values.put(backend + "." + key, value);
    return this;
  }
}
