/* Windows' library of this name, for a wine that has none (before 9.0): one function, by an older one's leave. */
#include <windows.h>

/* RtlGenRandom, by the name under which advapi32 exports it (ntsecapi.h). */
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *buffer, SIZE_T length)
{
    return SystemFunction036(buffer, (ULONG)length);
}
