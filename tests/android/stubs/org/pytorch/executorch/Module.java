package org.pytorch.executorch;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.concurrent.atomic.AtomicInteger;

/** Runs what a test says; the calls and their order are the AAR's. */
public class Module {
  public static final int LOAD_MODE_FILE = 0;
  public static final int LOAD_MODE_MMAP = 1;

  /** Stands in for libexecutorch.so. */
  public interface Runtime {
    Runtime load(String path, BackendOptionsMap options, int loadMode, int threads);

    float[] run(float[] input, long[] shape);

    void end();
  }

  public static Runtime runtime;
  public static final AtomicInteger alive = new AtomicInteger();

  private final Runtime loaded;
  private boolean ready;
  private boolean destroyed;

  private Module(Runtime loaded) {
    this.loaded = loaded;
    alive.incrementAndGet();
  }

  public static Module load(String path, BackendOptionsMap options, int loadMode, int threads) {
    File file = new File(path);
    if (!file.isFile() || !file.canRead()) throw new IllegalArgumentException("no file: " + path);
    return new Module(runtime.load(path, options, loadMode, threads));
  }

  public void loadMethod(String name) {
    if (!name.equals("forward")) throw new IllegalArgumentException(name);
    ready = true;
  }

  public EValue[] forward(EValue... inputs) {
    if (!ready || destroyed) throw new IllegalStateException("not loaded, or destroyed");
    Tensor input = inputs[0].toTensor();
    float[] values = loaded.run(input.getDataAsFloatArray(), input.shape());
    ByteBuffer bytes = ByteBuffer.allocateDirect(values.length * 4);
    FloatBuffer output = bytes.order(ByteOrder.nativeOrder()).asFloatBuffer().put(values);
    return new EValue[] {EValue.from(Tensor.fromBlob(output, new long[] {1, values.length}))};
  }

  public void destroy() {
    if (destroyed) return;
    destroyed = true;
    alive.decrementAndGet();
    loaded.end();
  }
}
