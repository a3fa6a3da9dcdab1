#include "opencl/opencl.h"
const char *clbn_cl_name(cl_int code) {
    (void)code;
    return "?";
}
clbn_status clbn_opencl_device_open(clbn_device *device, unsigned platform, unsigned number, bool prove) {
    (void)platform, (void)number, (void)prove;
    return clbn_tell(device, CLBN_ERROR_NO_DEVICE, 0, "not yet");
}
clbn_status clbn_opencl_device_open_own(clbn_device *device, cl_context context, cl_device_id cl_device) {
    (void)device, (void)context, (void)cl_device;
    return CLBN_ERROR_NO_DEVICE;
}
clbn_status clbn_opencl_device_get(const clbn_device *device, cl_context *context, cl_device_id *cl_device,
                                   cl_command_queue *queue) {
    (void)device, (void)context, (void)cl_device, (void)queue;
    return CLBN_ERROR_NO_DEVICE;
}
const char *clbn_opencl_variant_name(size_t index) {
    (void)index;
    return NULL;
}
const clbn_backend clbn_opencl_backend = {.name = "opencl"};
