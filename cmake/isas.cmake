# One OBJECT library of kernel.cpp per instruction set, and the list that dispatch.cpp reads.
#
# pyadam_add_isa(NAME CONDITION FLAG...): CONDITION is the C++ expression that asks the CPU at run time. The order of the
# calls is the order of preference.

set(PYADAM_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)
set(PYADAM_KERNELS "")
set(PYADAM_ISA_LIST "")

# The arithmetic contract: no contraction to FMA, no reassociation. Without errno and traps sqrt and selects vectorise.
if(MSVC)
  set(PYADAM_CONTRACT_FLAGS /O2 /fp:precise /openmp:experimental)
else()
  set(PYADAM_CONTRACT_FLAGS -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp-simd)
endif()

function(pyadam_add_isa name condition)
  set(target pyadam_kernel_${name})
  add_library(${target} OBJECT ${PROJECT_SOURCE_DIR}/src/cpp/kernel/kernel.cpp)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src/cpp)
  # No link-time optimisation: it could inline one instruction set's code into a caller that must run without it.
  set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
  target_compile_definitions(${target} PRIVATE PYADAM_ISA=${name})
  target_compile_options(${target} PRIVATE ${PYADAM_CONTRACT_FLAGS} ${ARGN} $<$<NOT:$<BOOL:${MSVC}>>:-fno-lto>)
  set(PYADAM_KERNELS ${PYADAM_KERNELS} ${target} PARENT_SCOPE)
  set(PYADAM_ISA_LIST "${PYADAM_ISA_LIST}PYADAM_ISA(${name}, ${condition})\n" PARENT_SCOPE)
endfunction()

string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" PYADAM_PROCESSOR)
if(CMAKE_OSX_ARCHITECTURES)
  string(TOLOWER "${CMAKE_OSX_ARCHITECTURES}" PYADAM_PROCESSOR)
endif()

if(PYADAM_PROCESSOR MATCHES "^(x86_64|amd64)$")
  if(MSVC)
    pyadam_add_isa(avx512 "cpu_has_avx512()" /arch:AVX512)
    pyadam_add_isa(avx2 "cpu_has_avx2()" /arch:AVX2)
  else()
    # PREFETCHW does nothing on the few CPUs with AVX2 that do not know it.
    pyadam_add_isa(avx512 "cpu_has_avx512()" -mprfchw -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
    pyadam_add_isa(avx2 "cpu_has_avx2()" -mprfchw -mavx2)
  endif()
  pyadam_add_isa(sse2 "true")
elseif(PYADAM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    pyadam_add_isa(sve "cpu_has_sve()" -march=armv8.2-a+sve)
  endif()
  pyadam_add_isa(neon "true")
else()
  pyadam_add_isa(portable "true")
endif()

file(WRITE ${PYADAM_GENERATED_DIR}/isa_list.inc.new "${PYADAM_ISA_LIST}")
configure_file(${PYADAM_GENERATED_DIR}/isa_list.inc.new ${PYADAM_GENERATED_DIR}/isa_list.inc COPYONLY)
