target_sources(pwl_engines PRIVATE src/engines/toy/engine.cc)
