// The version of these headers, that of the package.
#pragma once

#define TRAITCORE_VERSION_MAJOR 0
#define TRAITCORE_VERSION_MINOR 1
#define TRAITCORE_VERSION_PATCH 0
#define TRAITCORE_VERSION "0.1.0"
