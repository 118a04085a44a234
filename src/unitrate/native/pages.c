/* Large pages for the interpreter's small objects: units lie anywhere in hundreds of megabytes, and with pages of
 * 4 KB nearly each look at one also waits for its address to be translated.
 *
 * Owns where CPython's arenas come from once `large_pages` was called. Where the system has no such pages, or does
 * not want to give any, nothing changes. */
#define _GNU_SOURCE
#include "room.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__linux__) && defined(MADV_HUGEPAGE)
#define LARGE ((size_t)2 << 20)
#define REGION ((size_t)64 << 20) /* address space that is taken at once; memory is taken as it is used */

static PyObjectArenaAllocator usual;
static char *next, *end;

static void *take_arena(void *context, size_t size)
{
    (void)context;
    if ((size_t)(end - next) < size) {
        char *region = size > REGION ? MAP_FAILED
                                     : mmap(NULL, REGION + LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (region == MAP_FAILED)
            return usual.alloc(usual.ctx, size);
        next = (char *)(((uintptr_t)region + LARGE - 1) & ~(uintptr_t)(LARGE - 1));
        end = next + REGION;
        (void)madvise(next, REGION, MADV_HUGEPAGE);
    }
    void *arena = next;
    next += size;
    return arena;
}

/* Arenas of both kinds come from mmap, so they go the same way. */
static void give_arena(void *context, void *arena, size_t size)
{
    (void)context;
    munmap(arena, size);
}

static void ask(void)
{
    if (usual.alloc != NULL)
        return;
    PyObject_GetArenaAllocator(&usual);
    PyObjectArenaAllocator large = {NULL, take_arena, give_arena};
    PyObject_SetArenaAllocator(&large);
}
#else
static void ask(void)
{
}
#endif

PyObject *large_pages(PyObject *module, PyObject *nothing)
{
    (void)module;
    (void)nothing;
    ask();
    Py_RETURN_NONE;
}
