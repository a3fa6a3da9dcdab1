#include "opencl/opencl.h"
