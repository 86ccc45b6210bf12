// The tables of this build's processor, and which CPUs run them.

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
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

const KernelTable kAvx512Vnni = {
    .name = "avx512vnni",
    .is_supported = SupportsAvx512Vnni,
    .conv = kAvx512VnniConv,
    .max_pool = MaxPoolAvx2,
    .average_pool = reference::AveragePool,
    .epilogue = EpiloguesAvx2,
    .convert = ConvertAvx2,
};

const ConvKernel* const kAvx512VnniWideConv[] = {&kWinogradAvx512VnniWide,
                                                 &kDirectAvx512VnniWide};

const KernelTable kAvx512VnniWide = {
    .name = "avx512vnni_wide",
    .is_supported =
        [] {
          return SupportsAvx512Vnni() &&
                 __builtin_cpu_supports("avx512vbmi") != 0 &&
                 __builtin_cpu_supports("gfni") != 0;
        },
    .conv = kAvx512VnniWideConv,
    .max_pool = MaxPoolAvx2,
    .average_pool = reference::AveragePool,
    .epilogue = EpiloguesAvx2,
    .convert = ConvertAvx2,
};

const ConvKernel* const kAvx2Conv[] = {&kWinogradAvx2, &kDirectAvx2};

const KernelTable kAvx2 = {
    .name = "avx2",
    .is_supported = SupportsAvx2,
    .conv = kAvx2Conv,
    .max_pool = MaxPoolAvx2,
    .average_pool = reference::AveragePool,
    .epilogue = EpiloguesAvx2,
    .convert = ConvertAvx2,
};
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
constexpr std::array kTables = {&kAvx512VnniWide, &kAvx512Vnni, &kAvx2,
                                &kReference};
constexpr std::array kTablesOfAmd = {&kAvx512Vnni, &kAvx512VnniWide, &kAvx2,
                                     &kReference};
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
