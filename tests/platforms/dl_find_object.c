/* Debian's musl-gcc links the libgcc_eh.a of glibc's gcc, whose unwinder asks glibc's _dl_find_object (dlfcn.h, glibc
 * 2.35) where a function's unwind table is. musl has no such function. This one asks dl_iterate_phdr(3), which both have.
 */
#define _GNU_SOURCE
#include <link.h>
#include <stddef.h>
#include <stdint.h>

/* struct dl_find_object of glibc's dlfcn.h, as it is on x86-64. */
struct object {
    unsigned long long flags;
    void *map_start;
    void *map_end;
    struct link_map *link_map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct object *object;
};

int _dl_find_object(void *address, struct object *object);

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    int is_here = 0;
    (void)size;
    search->object->eh_frame = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && search->address - start < header->p_memsz) {
            is_here = 1;
            search->object->map_start = (void *)start;
            search->object->map_end = (void *)(start + header->p_memsz);
        }
        if (header->p_type == PT_GNU_EH_FRAME) {
            search->object->eh_frame = (void *)start;
        }
    }
    return is_here && search->object->eh_frame != NULL;
}

int _dl_find_object(void *address, struct object *object)
{
    struct search search;
    search.address = (uintptr_t)address;
    search.object = object;
    return dl_iterate_phdr(look, &search) ? 0 : -1;
}
