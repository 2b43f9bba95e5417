docker run -e A='b c' img:v1 --a="{\"k\": 1}" ; (x | y) && z
