import sys

print("book-1,Ada")
print("book-2,Ben")
sys.exit("the library's database closed the connection")  # before book-3
