# find_package(tcpshaker) gives the targets tcpshaker::tcpshaker, the shared object, and tcpshaker::static, the archive.
# This file is <prefix>/share/tcpshaker/cmake/tcpshakerConfig.cmake, wherever the prefix is by now.

include(CMakeFindDependencyMacro)
find_dependency(Threads)

get_filename_component(_tcpshaker_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

find_path(_tcpshaker_include tcpshaker.h PATHS "${_tcpshaker_prefix}/include" NO_DEFAULT_PATH NO_CACHE)
set(_tcpshaker_lib_dirs "${_tcpshaker_prefix}/lib" "${_tcpshaker_prefix}/lib/${CMAKE_LIBRARY_ARCHITECTURE}"
    "${_tcpshaker_prefix}/lib64")
find_library(_tcpshaker_shared libtcpshaker.so PATHS ${_tcpshaker_lib_dirs} NO_DEFAULT_PATH NO_CACHE)
find_library(_tcpshaker_static libtcpshaker.a PATHS ${_tcpshaker_lib_dirs} NO_DEFAULT_PATH NO_CACHE)

if(_tcpshaker_shared AND NOT TARGET tcpshaker::tcpshaker)
  add_library(tcpshaker::tcpshaker SHARED IMPORTED)
  set_target_properties(tcpshaker::tcpshaker PROPERTIES IMPORTED_LOCATION "${_tcpshaker_shared}"
    INTERFACE_INCLUDE_DIRECTORIES "${_tcpshaker_include}")
endif()
if(_tcpshaker_static AND NOT TARGET tcpshaker::static)
  add_library(tcpshaker::static STATIC IMPORTED)
  set_target_properties(tcpshaker::static PROPERTIES IMPORTED_LOCATION "${_tcpshaker_static}"
    INTERFACE_INCLUDE_DIRECTORIES "${_tcpshaker_include}"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
  if(UNIX AND NOT APPLE)
    # The unwinder finds its tables by a header, which gcc leaves out of some static programs.
    set_target_properties(tcpshaker::static PROPERTIES INTERFACE_LINK_OPTIONS "LINKER:--eh-frame-hdr")
  endif()
endif()
if(NOT _tcpshaker_include OR NOT (_tcpshaker_shared OR _tcpshaker_static))
  set(tcpshaker_FOUND FALSE)
  set(tcpshaker_NOT_FOUND_MESSAGE "no tcpshaker.h or no libtcpshaker below ${_tcpshaker_prefix}")
endif()
