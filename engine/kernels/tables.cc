// The tables of this build's processor, and which CPUs run them.

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <array>

#include "engine/kernels/epilogue_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/pool_kernels.h"
#include "engine/kernels/reference.h"
#include "engine/kernels/winograd_kernels.h"

namespace tern {
namespace {

const ConvKernel* const kReferenceConv[] = {&kConvReference};

const KernelTable kReference = {
    .name = "reference",
    .is_supported = [] { return true; },
    .conv = kReferenceConv,
    .max_pool = reference::MaxPool,
    .average_pool = reference::AveragePool,
    .epilogue = reference::Epilogues,
    .convert = reference::Convert,
};

#if defined(__x86_64__)
// All tables of x86-64 but the reference need AVX2, too.
constexpr KernelTable TableOfX86(std::string_view name, bool (*is_supported)(),
                                 std::span<const ConvKernel* const> conv) {
  return {.name = name,
          .is_supported = is_supported,
          .conv = conv,
          .max_pool = MaxPoolAvx2,
          .average_pool = reference::AveragePool,
          .epilogue = EpiloguesAvx2,
          .convert = ConvertAvx2};
}

bool SupportsAvx2() {
  return __builtin_cpu_supports("avx2") != 0 &&
         __builtin_cpu_supports("fma") != 0;
}

bool SupportsAvx512Vnni() {
  return SupportsAvx2() && __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}

const ConvKernel* const kAvx512VnniConv[] = {&kWinogradAvx512Vnni,
                                             &kDirectAvx512Vnni};

constexpr KernelTable kAvx512Vnni =
    TableOfX86("avx512vnni", SupportsAvx512Vnni, kAvx512VnniConv);

const ConvKernel* const kAvx512VnniWideConv[] = {&kWinogradAvx512VnniWide,
                                                 &kDirectAvx512VnniWide};

bool SupportsAvx512VnniWide() {
  return SupportsAvx512Vnni() && __builtin_cpu_supports("avx512vbmi") != 0 &&
         __builtin_cpu_supports("gfni") != 0;
}

constexpr KernelTable kAvx512VnniWide =
    TableOfX86("avx512vnni_wide", SupportsAvx512VnniWide, kAvx512VnniWideConv);

// Whether the CPU has AMX with int8, and the operating system keeps its state.
bool HasAmxInt8() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kTileAndInt8 = 3U << 24;
  if ((edx & kTileAndInt8) != kTileAndInt8) return false;
  // Where there is AMX, there is XGETBV.
  asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
  constexpr unsigned kTileState = 3U << 17;
  return (eax & kTileState) == kTileState;
}

// Linux gives a process the tile registers when it asks for them, for all its
// threads; kernels before 5.16 never do.
bool MayUseTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;
  static const bool granted =
      syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}

bool SupportsAmx() {
  return SupportsAvx512VnniWide() && HasAmxInt8() && MayUseTiles();
}

// A few pixels leave most of a tile register empty: then the other is faster.
const ConvKernel* const kAmxConv[] = {&kDirectAmx, &kDirectAvx512VnniWide};

constexpr KernelTable kAmx = TableOfX86("amx", SupportsAmx, kAmxConv);

const ConvKernel* const kAvx2Conv[] = {&kWinogradAvx2, &kDirectAvx2};

constexpr KernelTable kAvx2 = TableOfX86("avx2", SupportsAvx2, kAvx2Conv);
#elif defined(__aarch64__)
const ConvKernel* const kNeonConv[] = {&kDirectNeon};

const KernelTable kNeon = {
    .name = "neon",
    .is_supported = [] { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; },
    .conv = kNeonConv,
    .max_pool = reference::MaxPool,
    .average_pool = reference::AveragePool,
    .epilogue = reference::Epilogues,
    .convert = reference::Convert,
};
#endif

#if defined(__x86_64__)
constexpr std::array kTables = {&kAmx, &kAvx512VnniWide, &kAvx512Vnni, &kAvx2,
                                &kReference};
constexpr std::array kTablesOfAmd = {&kAmx, &kAvx512Vnni, &kAvx512VnniWide,
                                     &kAvx2, &kReference};
#elif defined(__aarch64__)
constexpr std::array kTables = {&kNeon, &kReference};
#else
constexpr std::array kTables = {&kReference};
#endif

}  // namespace

std::span<const KernelTable* const> AllKernelTables() {
#if defined(__x86_64__)
  // Whose cores have ports for 512-bit shifts and shuffles beside the
  // multipliers'.
  if (__builtin_cpu_is("amd") != 0) return kTablesOfAmd;
#endif
  return kTables;
}

const KernelTable& ReferenceKernels() { return kReference; }

}  // namespace tern
