# Writes OUTPUT, a C file that holds the text of each of FILES (schema/*.sql, in the order of their names) as the
# array of lib/store/schema_files.h. Run at build time by CMakeLists.txt.
list(SORT FILES)
set(rows "")
foreach(path IN LISTS FILES)
    get_filename_component(name "${path}" NAME)
    file(READ "${path}" sql)
    string(REPLACE "\\" "\\\\" sql "${sql}")
    string(REPLACE "\"" "\\\"" sql "${sql}")
    string(REPLACE "?" "\\?" sql "${sql}")
    string(REPLACE "\n" "\\n\"\n     \"" sql "${sql}")
    string(APPEND rows "    {\"${name}\",\n     \"${sql}\"},\n")
endforeach()
list(LENGTH FILES count)
file(WRITE "${OUTPUT}" "/* Made from the files of schema/ by scripts/embed-schema.cmake. */
#include \"store/schema_files.h\"

const struct schema_file schema_files[] = {
${rows}    {NULL, NULL},
};
const size_t schema_files_count = ${count};
")
