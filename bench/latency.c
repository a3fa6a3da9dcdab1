/* SPDX-License-Identifier: Apache-2.0
 *
 * latency DEVICE SECONDS: what a device is, what its first use costs, and the time of small calls beside that of an empty
 * kernel, for so many seconds (0: none). A line is KIND,NAME,VALUE: fact; variant; first, of milliseconds; small, of microseconds.
 * In which folders drivers and clbn find compiled kernels the environment says: with empty ones the first use is a cold one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "progress.h"

#define ROUNDS_MIN 30
#define ROUNDS_MAX 2000
#define IN_A_ROW   20 /* calls behind one another, for the host's time of each */

enum { OPS = OP_BACKWARD + 1, EMPTY = OPS, CONTENDERS };

static const char *const names[] = {"training", "inference", "backward", "empty kernel"};

/* A plan with its buffers. */
typedef struct layer {
    bench_target target;
    clbn_plan *plan;
    clbn_plan_info info;
    cl_mem mems[BENCH_BUFFERS];
    clbn_buffer buffers[BENCH_BUFFERS];
} layer;

typedef struct place {
    session session;
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
    cl_program program;
    cl_kernel empty;
} place;

static int check(cl_int error, const char *call) {
    return error == CL_SUCCESS ? EXIT_DONE : fail_run("latency: %s failed with OpenCL error %d", call, error);
}

static void first(const char *name, const char *what, double seconds) {
    printf("first,%s%s,%.4g\n", name, what, 1e3 * seconds);
}

/* ------------------------------------------------------------------------------------------------------------------------ facts */

/* A fact is one field. */
static void tell(const char *name, const char *value) {
    char text[1024];
    snprintf(text, sizeof text, "%s", value);
    make_one_line(text);
    for (char *c = text; *c; c++)
        if (*c == ',' || *c == '|') *c = ' ';
    printf("fact,%s,%s\n", name, text);
}

static void tell_text(const place *p, const char *name, cl_device_info what) {
    char text[1024] = "";
    clGetDeviceInfo(p->device, what, sizeof text - 1, text, NULL);
    tell(name, text);
}

/* Of 4 or 8 bytes, as the driver says. */
static void tell_number(const place *p, const char *name, cl_device_info what) {
    cl_ulong value = 0;
    cl_uint narrow = 0;
    size_t bytes = 0;
    if (clGetDeviceInfo(p->device, what, 0, NULL, &bytes) != CL_SUCCESS) return;
    if (bytes == sizeof narrow && clGetDeviceInfo(p->device, what, bytes, &narrow, NULL) == CL_SUCCESS) value = narrow;
    if (bytes == sizeof value) clGetDeviceInfo(p->device, what, bytes, &value, NULL);
    printf("fact,%s,%llu\n", name, (unsigned long long)value);
}

static void tell_facts(const place *p) {
    const clbn_device_info *info = &p->session.info;
    tell("name", info->name);
    tell("device", info->device);
    tell("kind", kind_name(info->kind));
    tell("platform", info->platform);
    tell("version", info->version);
    tell("driver", info->driver);
    printf("fact,compute units,%u\nfact,memory bytes,%llu\n", info->compute_units, (unsigned long long)info->memory_bytes);
    tell("float64", info->has_fp64 ? "yes" : "no");
    tell_text(p, "vendor", CL_DEVICE_VENDOR);
    tell_text(p, "OpenCL C", CL_DEVICE_OPENCL_C_VERSION);
    tell_number(p, "clock MHz", CL_DEVICE_MAX_CLOCK_FREQUENCY);
    tell_number(p, "largest group", CL_DEVICE_MAX_WORK_GROUP_SIZE);
    tell_number(p, "local memory bytes", CL_DEVICE_LOCAL_MEM_SIZE);
    tell_number(p, "cache bytes", CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    tell_number(p, "cache line bytes", CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE);
    tell_number(p, "largest buffer bytes", CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    for (size_t k = 0; clbn_variant_name(k); k++) printf("variant,%s,\n", clbn_variant_name(k));
}

/* -------------------------------------------------------------------------------------------------------------------- first use */

static void close_layer(layer *l) {
    clbn_plan_destroy(l->plan);
    for (int i = 0; i < BENCH_BUFFERS; i++)
        if (l->mems[i]) clReleaseMemObject(l->mems[i]);
    memset(l, 0, sizeof *l);
}

static int make_buffers(place *p, layer *l) {
    for (int i = 0; i < BENCH_BUFFERS; i++) {
        array values = {0};
        cl_int error;
        TRY(bench_make(&l->target, i, &values));
        if (!values.data) continue;
        l->mems[i] =
            clCreateBuffer(p->context, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, bench_bytes(&values), values.data, &error);
        l->buffers[i] = clbn_mem(l->mems[i], 0);
        array_free(&values);
        TRY(check(error, "making a buffer"));
    }
    return EXIT_DONE;
}

static int call(place *p, layer *l, size_t calls) {
    TRY(bench_call(&l->target, p->queue, l->buffers, calls));
    return check(clFinish(p->queue), "clFinish");
}

static int open_layer(place *p, layer *l, bench_op op, unsigned rank, const size_t *dims, const char *what) {
    clbn_config config = clbn_config_preset(CLBN_PRESET_PYTORCH);
    config.rank = rank;
    config.dims = dims;
    *l = (layer){.target = {.op = op, .dtype = CLBN_F32, .real = CLBN_F32, .channels = dims[1], .log = &p->session.log}};
    array_count(rank, dims, ARRAY_F32, &l->target.count);
    l->target.bytes = l->target.count * sizeof(float);
    l->target.what = what;
    double begin = now_seconds();
    clbn_status made = clbn_plan_create(p->session.device, &config, &l->plan);
    double end = now_seconds();
    if (made != CLBN_SUCCESS) return fail_library(&p->session.log, made, what);
    l->target.plan = l->plan;
    first("plan of ", what, end - begin);
    made = clbn_plan_query(l->plan, &l->info);
    if (made != CLBN_SUCCESS) return fail_library(&p->session.log, made, what);
    TRY(make_buffers(p, l));
    for (int i = 0; i < 2; i++) {
        begin = now_seconds();
        TRY(call(p, l, 1));
        first(i ? "second call of " : "first call of ", what, now_seconds() - begin);
    }
    return EXIT_DONE;
}

/* ------------------------------------------------------------------------------------------------------------------ small calls */

static int make_empty(place *p) {
    static const char *const source = "__kernel void empty(void) {}\n";
    const char *text = source;
    cl_int error;
    p->program = clCreateProgramWithSource(p->context, 1, &text, NULL, &error);
    TRY(check(error, "clCreateProgramWithSource"));
    TRY(check(clBuildProgram(p->program, 1, &p->device, NULL, NULL, NULL), "clBuildProgram"));
    p->empty = clCreateKernel(p->program, "empty", &error);
    return check(error, "clCreateKernel");
}

static int enqueue(place *p, layer *layers, int contender, size_t calls) {
    const size_t one = 1;
    cl_int error = CL_SUCCESS;
    if (contender < OPS) return bench_call(&layers[contender].target, p->queue, layers[contender].buffers, calls);
    for (size_t i = 0; i < calls && error == CL_SUCCESS; i++)
        error = clEnqueueNDRangeKernel(p->queue, p->empty, 1, NULL, &one, &one, 0, NULL, NULL);
    return check(error, "clEnqueueNDRangeKernel");
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(double *times, size_t count, double part) {
    qsort(times, count, sizeof *times, compare);
    return times[(size_t)(part * (double)(count - 1))];
}

/* In turn, round after round: a call and its end; then many behind one another, of which the host's part counts. */
static int small_calls(place *p, layer *layers, double seconds) {
    static double whole[CONTENDERS][ROUNDS_MAX], host[CONTENDERS][ROUNDS_MAX];
    size_t rounds = 0;
    for (double begin = now_seconds(); rounds < ROUNDS_MAX && (rounds < ROUNDS_MIN || now_seconds() - begin < seconds); rounds++)
        for (int k = 0; k < CONTENDERS; k++) {
            double before = now_seconds();
            TRY(enqueue(p, layers, k, 1));
            TRY(check(clFinish(p->queue), "clFinish"));
            double middle = now_seconds();
            TRY(enqueue(p, layers, k, IN_A_ROW));
            double after = now_seconds();
            TRY(check(clFinish(p->queue), "clFinish"));
            whole[k][rounds] = middle - before;
            host[k][rounds] = (after - middle) / IN_A_ROW;
        }
    for (int k = 0; k < CONTENDERS; k++) {
        const clbn_plan_info *info = &layers[k < OPS ? k : 0].info;
        const unsigned launches[] = {info->training_launches, info->inference_launches, info->backward_launches, 1};
        printf("small,%s: 10th percentile,%.2f\n", names[k], 1e6 * at(whole[k], rounds, 0.1));
        printf("small,%s: median,%.2f\n", names[k], 1e6 * at(whole[k], rounds, 0.5));
        printf("small,%s: host,%.2f\n", names[k], 1e6 * at(host[k], rounds, 0.5));
        printf("small,%s: launches,%u\n", names[k], launches[k]);
    }
    printf("small,rounds,%zu\n", rounds);
    return EXIT_DONE;
}

static int run(place *p, const char *device, double seconds) {
    static const size_t small[] = {64, 200}, large[] = {32, 64, 56, 56};
    layer layers[OPS] = {0}, other = {0};
    p->session.log.quiet = 1;
    double begin = now_seconds();
    TRY(session_open(&p->session, device));
    first("the device", "", now_seconds() - begin);
    clbn_status status = clbn_device_get_cl(p->session.device, &p->context, &p->device, &p->queue);
    if (status != CLBN_SUCCESS) return fail_library(&p->session.log, status, device);
    tell_facts(p);
    int done = open_layer(p, &layers[OP_TRAINING], OP_TRAINING, 2, small, "64x200 training");
    if (done == EXIT_DONE) done = open_layer(p, &layers[OP_INFERENCE], OP_INFERENCE, 2, small, "64x200 inference");
    if (done == EXIT_DONE) done = open_layer(p, &layers[OP_BACKWARD], OP_BACKWARD, 2, small, "64x200 backward");
    if (done == EXIT_DONE) done = open_layer(p, &other, OP_TRAINING, 4, large, "32x64x56x56 training");
    close_layer(&other);
    if (done == EXIT_DONE && seconds > 0) done = make_empty(p);
    if (done == EXIT_DONE && seconds > 0) done = small_calls(p, layers, seconds);
    for (int k = 0; k < OPS; k++) close_layer(&layers[k]);
    return done;
}

int main(int argc, char **argv) {
    static place p;
    if (argc != 3) return fail_input("latency DEVICE SECONDS");
    int status = run(&p, argv[1], atof(argv[2]));
    if (p.empty) clReleaseKernel(p.empty);
    if (p.program) clReleaseProgram(p.program);
    session_close(&p.session);
    return status;
}
