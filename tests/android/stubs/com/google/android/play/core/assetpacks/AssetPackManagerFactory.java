package com.google.android.play.core.assetpacks;

import android.content.Context;

public class AssetPackManagerFactory {
  /** What a test plays Play with. */
  public static AssetPackManager manager;

  public static AssetPackManager getInstance(Context context) {
    return manager;
  }
}
