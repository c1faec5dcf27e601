package android.graphics;

/** Holds its pixels as getPixels gives them. */
public final class Bitmap {
  private final int[] pixels;
  private final int width;

  public Bitmap(int[] pixels, int width) {
    this.pixels = pixels;
    this.width = width;
  }

  public int getWidth() {
    return width;
  }

  public int getHeight() {
    return pixels.length / width;
  }

  public void getPixels(int[] into, int offset, int stride, int x, int y, int width, int height) {
    for (int row = 0; row < height; row++) {
      System.arraycopy(pixels, (y + row) * this.width + x, into, offset + row * stride, width);
    }
  }
}
