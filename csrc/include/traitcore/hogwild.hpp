// Hogwild (Niu, Recht, Re & Wright 2011): threads update shared rows without locks. Lost or mixed updates of single
// floats are part of the method; formally they are data races, which is why every update of a shared row happens in
// functions marked TRAITCORE_RACY and nowhere else: ThreadSanitizer then still finds every race that isn't meant.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define TRAITCORE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TRAITCORE_TSAN 1
#endif
#endif

#if defined(TRAITCORE_RACY)  // on the command line: a test that nothing races, without exemptions
#elif defined(TRAITCORE_TSAN)
#define TRAITCORE_RACY __attribute__((no_sanitize("thread"), noinline))
#else
#define TRAITCORE_RACY
#endif
