package org.pytorch.executorch;

import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/** Refuses what the AAR's own refuses. */
public final class Tensor {
  private final FloatBuffer data;
  private final long[] shape;

  private Tensor(FloatBuffer data, long[] shape) {
    this.data = data;
    this.shape = shape;
  }

  public static Tensor fromBlob(FloatBuffer data, long[] shape) {
    long size = 1;
    for (long one : shape) size *= one;
    if (!data.isDirect() || data.order() != ByteOrder.nativeOrder() || data.capacity() != size) {
      throw new IllegalArgumentException("a tensor's buffer is direct, native and of its shape");
    }
    return new Tensor(data, shape.clone());
  }

  public long[] shape() {
    return shape.clone();
  }

  public float[] getDataAsFloatArray() {
    data.rewind();
    float[] values = new float[data.remaining()];
    data.get(values);
    return values;
  }
}
